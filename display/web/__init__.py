"""HTTP and HTML for the pages: server-sent events, security headers, rate limits, templates, QR codes, fonts.

Import from the modules.
"""
