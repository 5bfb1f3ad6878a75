"""What the program declares: stack config, the mapping, the contract, and one package per store."""
