"""The loop: setting -> launch -> ready -> warm up -> replay -> store.

Nothing is imported here: a report needs ``judge`` alone, not what starts servers.
"""
