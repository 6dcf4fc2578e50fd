import os

NAME = os.name
