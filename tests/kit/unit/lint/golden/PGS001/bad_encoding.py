# coding: ascii
NAME = "Zoë"
