"""What the pages need of HTTP and HTML: server-sent events, security headers, rate limits, templates, QR codes, fonts.

Import by module; nothing here knows a job or a dream.
"""
