"""Getting FSDKaggle2019: its record, its archives, and the folder that training reads."""
