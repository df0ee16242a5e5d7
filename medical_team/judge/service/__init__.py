"""The judge as a service over HTTP. Everything here needs the extra ``judge`` and is imported only by who serves."""
