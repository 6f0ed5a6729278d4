"""Printing: sheets of dreams on a printer that a print server (CUPS) or the printer itself offers through IPP.

Run by `artdream print`, in a process of its own where the printer is.
"""
