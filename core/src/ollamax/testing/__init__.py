"""The conformance kit: cases and suites that every implementation of a contract is tested with."""
