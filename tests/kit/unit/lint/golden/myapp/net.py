import requests

session = requests.Session()
engine = object()


class GitRepository:
    def commit(self):
        return session.post("https://example.org/commits")


def get_session():
    return session
