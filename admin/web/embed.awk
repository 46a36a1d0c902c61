# admin/web/embed.awk - turn the files of the page into C: each as "file NAME" and then od -An -v -tu1
function start(name)
{
	finish()
	names[count++] = name
	size = 0
	a = 1
	b = 7
	printf "/* %s */\nstatic const unsigned char bytes_%d[] = {", name, count - 1
}
# Two remainders of about 2^31 each: what a cache compares, no signature.
function finish()
{
	if (count == 0)
		return
	printf "\n};\n\n"
	tags[count - 1] = sprintf("%d-%d-%d", size, a, b)
}
function type_of(name)
{
	if (name ~ /\.html$/)
		return "text/html; charset=utf-8"
	if (name ~ /\.css$/)
		return "text/css; charset=utf-8"
	if (name ~ /\.js$/)
		return "text/javascript; charset=utf-8"
	if (name ~ /\.svg$/)
		return "image/svg+xml"
	if (name ~ /\.png$/)
		return "image/png"
	print "no type is known for " name | "cat 1>&2"
	failed = 1
	exit 1
}
BEGIN {
	print "/* Made from admin/web/ by admin/web/embed.awk. */"
	print "#include \"admin/web.h\"\n"
}
$1 == "file" { start($2); next }
{
	for (i = 1; i <= NF; i++) {
		printf "%s%d,", size++ % 20 == 0 ? "\n\t" : " ", $i
		a = (a * 257 + $i) % 2147483629
		b = (b * 8191 + $i) % 2147483579
	}
}
END {
	if (failed)
		exit 1
	finish()
	print "const struct web_file web_files[] = {"
	for (i = 0; i < count; i++)
		printf "\t{\"%s\", \"%s\", \"\\\"%s\\\"\", bytes_%d, sizeof(bytes_%d)},\n", names[i], type_of(names[i]), tags[i], i, i
	print "};"
	print "const size_t web_file_count = sizeof(web_files) / sizeof(web_files[0]);"
}
