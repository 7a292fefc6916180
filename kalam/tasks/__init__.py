"""One module per task, all with the same small interface."""
