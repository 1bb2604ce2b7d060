"""What the commands do, one file or folder for each."""
