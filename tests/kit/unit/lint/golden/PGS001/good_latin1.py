# -*- coding: latin-1 -*-
NAME = "Zoë"
