"""Members of a group: everything that can answer, behind one small interface (`Member`)."""
