"""The loop: setting -> launch -> ready -> warm up -> replay -> store; and the judging of what it stored.

Nothing is imported here: a report needs ``join`` and ``judge``, not what starts servers.
"""
