"""The one HTTP client and the rules for the URLs that it may follow; used by files and notify."""
