"""Fetch FSDKaggle2019 from its Zenodo record into a folder that training reads."""
