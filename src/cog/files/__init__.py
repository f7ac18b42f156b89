"""Files on their way in and out: data URLs, downloads, uploads, temporary folders."""
