"""What models are trained for, a module for each row of `config/tasks.yaml`."""
