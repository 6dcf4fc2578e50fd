import time


# --8<-- [start:bad]
def test_the_device_counts_on(device):
    before = device.seconds()
    time.sleep(1.1)  # pgsandbox: ignore[PGS301]

    assert device.seconds() > before
# --8<-- [end:bad]
