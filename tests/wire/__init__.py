"""The wire: both protocols against AWS's published model, against nonsense, and byte by byte."""
