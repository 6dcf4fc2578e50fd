import time


# --8<-- [start:good]
def test_the_device_counts_on(device):
    before = device.seconds()
    time.sleep(1.1)  # pgsandbox: ignore[PGS301] its clock counts whole seconds

    assert device.seconds() > before
# --8<-- [end:good]
