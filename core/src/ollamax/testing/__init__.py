"""The conformance kit: cases that every implementation of a contract is tested with."""
