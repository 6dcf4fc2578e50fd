from myapp.database import *
