"""What `import noisediag` gives: functions that take what a Python program has, and objects that show themselves.

sources      a path, an array, a picture of another library, bytes, as an `Image`
estimating   estimate, estimate_many and read
measuring    measure and measure_many: no model guesses
planning     advise, profile, check
making       simulate and finetune
signatures   wrong keywords, refused with those that there are
"""
