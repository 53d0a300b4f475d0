"""datastores"""
