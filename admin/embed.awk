# admin/embed.awk - turn a text file into a C string; -v name=openapi
function escaped(line,    i, c, out) {
	for (i = 1; i <= length(line); i++) {
		c = substr(line, i, 1)
		if (c == "\\" || c == "\"")
			out = out "\\"
		out = out c
	}
	return out
}
BEGIN {
	print "/* Made from the .json of the same name by admin/embed.awk. */"
	print "#include \"admin/" name ".h\""
	print ""
	print "const char " name "_text[] ="
}
{ print "\t\"" escaped($0) "\\n\"" }
END {
	print "\t;"
	print "const size_t " name "_len = sizeof(" name "_text) - 1;"
}
