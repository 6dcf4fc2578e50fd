# --8<-- [start:bad]
def test_the_device_counts_on(device):
    before = device.seconds()
    # pgsandbox: ignore[PGS301] its clock counts whole seconds
    device.wait_for_tick()

    assert device.seconds() > before
# --8<-- [end:bad]
