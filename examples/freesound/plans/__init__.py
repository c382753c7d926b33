"""The plans of the winning systems: values that the engine and the pipeline carry out."""
