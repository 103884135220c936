"""Events sent to other systems: subscriptions, a cursor on the trail for each, and the sending of what lies behind it.

changed:   a service records its event in the transaction of the change (audit): the trail is the outbox
deliver:   claim a subscription | its next event | sign | post to the checked address | attempt and cursor together
"""
