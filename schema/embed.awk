# schema/embed.awk - turn the .sql files, given in order, into one C table
function flush_file()
{
	if (count > 0)
		print "\t;"
}
BEGIN {
	print "/* Made by schema/embed.awk from the .sql files beside it: change those. */"
	print "#include \"schema/schema.h\""
	print ""
	count = 0
}
FNR == 1 {
	flush_file()
	name = FILENAME
	sub(/.*\//, "", name)
	version = name
	sub(/_.*/, "", version)
	if (version + 0 != count + 1) {
		print "schema/embed.awk: " name ": step " count + 1 " is missing" > "/dev/stderr"
		failed = 1
		exit 1
	}
	names[++count] = name
	print "static const char step_" count "[] ="
}
{
	gsub(/[\\"]/, "\\\\&")
	print "\t\"" $0 "\\n\""
}
END {
	if (failed)
		exit 1
	flush_file()
	print ""
	print "const struct schema_step schema_steps[] = {"
	for (i = 1; i <= count; i++)
		print "\t{" i ", \"" names[i] "\", step_" i "},"
	print "};"
	print "const size_t schema_step_count = " count ";"
}
