def test_a_price_is_stored(db_session):
    assert db_session.scalar(select(Product.price)) == 3
