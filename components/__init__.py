"""The library of stellaops-storage: the mapping's model and one package a store."""
