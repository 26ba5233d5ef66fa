# SPDX-License-Identifier: MIT
#
# Write the C file of which a generated program has many copies:
#
#	awk -v count=FUNCTIONS -f template.awk >template.c
#
# The copies are made from its object file by replacing text: KK000 stands for the
# number of the copy, NN000 for that of another, and the bytes "@000", which are
# the constant 0x30303040, for a constant of its own. Nothing changes its size.
#
# Static functions, static variables and tables have the same names in all copies.
# With -DNEW every tenth function changes, and an inline function that every 25th
# has inlined.

function declare(i)
{
	print "int fn_KK000_" i "(struct state *, int);"
	print "int fn_NN000_" i "(struct state *, int);"
}

function table(i)
{
	printf "static const int table[16] = {0x30303040"
	for (i = 1; i < 16; i++)
		printf ", %d", i * i
	print "};"
	printf "static const handler handlers[4] = {fn_KK000_0"
	for (i = 1; i < 4; i++)
		printf ", fn_KK000_%d", i
	print "};"
}

function head(i)
{
	print "#include <stdio.h>"
	print "#ifdef NEW"
	print "#define EXTRA 77"
	print "#else"
	print "#define EXTRA 5"
	print "#endif"
	print "struct state;"
	print "typedef int (*handler)(struct state *, int);"
	print "struct state {"
	print "\tint total;"
	print "\tconst char *text;"
	print "\thandler next;"
	print "\tint values[16];"
	print "};"
	print "struct own_KK000 { int a[13]; struct state *state; };"
	print "struct own_KK000 own_KK000;"
	print "int shared_KK000 = 0x30303040;"
	print "extern int shared_NN000;"
	for (i = 0; i < count; i++)
		declare(i)
	table()
	print "static __attribute__((noinline)) int worker(struct state *s, int n)"
	print "{"
	print "\tstatic int calls;"
	print "\treturn s->next(s, n) + own_KK000.a[n % 2] + calls++;"
	print "}"
	print "static inline int step(struct state *s, int n)"
	print "{"
	print "\treturn s->total * 3 + (n ^ 0x30303040) + EXTRA;"
	print "}"
}

function body(i)
{
	print "int fn_KK000_" i "(struct state *s, int n)"
	print "{"
	print "\tstatic int calls;"
	print "\tint sum = n + 0x30303040;"
	print "\tcalls++;"
	if (i % 10 == 3)
		print "\tsum += EXTRA;"
	print "\tswitch (n & 7) {"
	print "\tcase 0: s->total += " (i % 50 + 1) "; break;"
	print "\tcase 1: s->text = \"case " (i % 40) " of KK000\"; break;"
	print "\tcase 2: sum += table[n & 15]; break;"
	print "\tcase 3: sum ^= shared_NN000; break;"
	print "\tcase 4: return calls;"
	print "\tcase 5: s->next = handlers[n & 3]; break;"
	print "\tdefault: sum -= " i "; break;"
	print "\t}"
	print "\tfor (int k = 0; k < n; k++)"
	print "\t\tsum += s->values[k & 15] * (k + " (i % 13) ");"
	print "\tif (sum > " (i * 11 % 900 + 100) ") {"
	print "\t\tprintf(\"%d of %s\\n\", sum, s->text);"
	print "\t\treturn fn_NN000_" (i * 3 + 1) % count "(s, sum - calls);"
	print "\t}"
	if (!(i % 25))
		print "\tsum += step(s, n);"
	print "\treturn worker(s, sum) + " i ";"
	print "}"
}

BEGIN {
	head()
	for (i = 0; i < count; i++)
		body(i)
}
