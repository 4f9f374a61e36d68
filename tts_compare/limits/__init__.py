"""What lets a request go, and go again: load shapes, stated rate limits, the spending limit, retries."""
