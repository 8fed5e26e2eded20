# strip.awk - the code of a C line, without its comments and strings.
#
# strip(line) returns the code; the text of the line's string literals is left
# in `literals`, each in double quotes. Call strip_start() at each file's first line.

function strip_start() {
	in_comment = 0
}

function strip(line,    code, c, two, i, quote, length_) {
	code = ""
	literals = ""
	quote = ""
	length_ = length(line)
	for (i = 1; i <= length_; i++) {
		c = substr(line, i, 1)
		two = substr(line, i, 2)
		if (in_comment) {
			if (two == "*/") {
				in_comment = 0
				i++
			}
		} else if (quote != "") {
			if (quote == "\"")
				literals = literals (c == "\\" ? two : c)
			if (c == "\\")
				i++
			else if (c == quote) {
				quote = ""
				code = code c
			}
		} else if (two == "/*") {
			in_comment = 1
			code = code " "
			i++
		} else if (two == "//") {
			break
		} else {
			if (c == "\"" || c == "'") {
				quote = c
				if (c == "\"")
					literals = literals c
			}
			code = code c
		}
	}
	return code
}
