ordergen people list                        # or --json
ordergen people roles maya manager viewer   # from the next request on
ordergen people disable maya                # signed out, keys revoked
ordergen people new-password tom            # prints a one-time password
