# relay/filter/domains.awk - turn lists of domains, one a line, into sorted C tables named as they are
BEGIN {
	print "/* Made by relay/filter/domains.awk from the .txt files beside it: change those. */"
	print "#include \"relay/filter/domains.h\""
}
FNR == 1 {
	name = FILENAME
	sub(/.*\//, "", name)
	sub(/\.txt$/, "", name)
	names[++lists] = name
	count[name] = 0
}
/^#/ || /^$/ { next }
{
	# Insertion keeps it sorted: the look-up is a binary search.
	for (i = ++count[name]; i > 1 && list[name, i - 1] "" > $1 ""; i--)
		list[name, i] = list[name, i - 1]
	list[name, i] = $1
}
END {
	for (n = 1; n <= lists; n++) {
		name = names[n]
		print ""
		print "const char *const " name "[] = {"
		for (i = 1; i <= count[name]; i++)
			print "\t\"" list[name, i] "\","
		print "};"
		print "const size_t " name "_count = sizeof(" name ") / sizeof(" name "[0]);"
	}
}
