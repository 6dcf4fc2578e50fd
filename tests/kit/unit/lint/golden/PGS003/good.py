# --8<-- [start:good]
def test_the_device_counts_on(device):
    before = device.seconds()
    device.wait_for_tick()

    assert device.seconds() > before
# --8<-- [end:good]
