/* SPDX-License-Identifier: MIT */
/*
 * A small program that is built twice, for seeds. Run, it writes what
 * fuzz_process and fuzz_record read, of itself, to two files:
 *
 *	seed PROCESS RECORD
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_SIZE 4096

#ifndef LIMIT
#define LIMIT 64
#endif

struct job {
	const char *text;
	unsigned int priority : 3;
	struct job *next;
};

int answer(const struct job *job);
int choose(int kind);

static const char *const names[] = {"one", "two", "three"};
static struct job first = {"first", 1, NULL};

__attribute__((__noinline__)) int choose(int kind)
{
	switch (kind) {
	case 0:
		return LIMIT;
	case 1:
		return 7;
	case 2:
		return first.priority;
	case 3:
		return names[LIMIT % 3][0];
	case 4:
		return -LIMIT;
	default:
		return 0;
	}
}

__attribute__((__noinline__)) int answer(const struct job *job)
{
	return choose((int)strlen(job->text) % 6) + job->priority;
}

/** Size of what is written of one line of /proc/self/maps. */
static size_t slice_of(const char *line, unsigned long *start_ret)
{
	unsigned long end;
	char readable;

	if (sscanf(line, "%lx-%lx %c", start_ret, &end, &readable) != 3 ||
	    readable != 'r' || strstr(line, "[v"))
		return 0;
	return SLICE_SIZE;
}

static void write_slice(FILE *process, FILE *record, const char *line)
{
	static const char zeros[SLICE_SIZE];
	unsigned long start = 0;
	const char *memory = zeros;

	if (slice_of(line, &start))
		memory = (const char *)start;
	fwrite(memory, 1, SLICE_SIZE, process);
	if (!memcmp(memory, "hfxpatch", 8))
		fwrite(memory, 1, *(const unsigned long *)(memory + 24),
		       record);
}

int main(int argc, char **argv)
{
	static char lines[256][512];
	size_t count = 0;
	FILE *maps, *process, *record;

	if (argc != 3)
		return answer(&first);
	maps = fopen("/proc/self/maps", "r");
	process = fopen(argv[1], "w");
	record = fopen(argv[2], "w");
	if (!maps || !process || !record)
		return 1;
	while (count < 256 && fgets(lines[count], sizeof(*lines), maps))
		fputs(lines[count++], process);
	fputc(0, process);
	for (size_t i = 0; i < count; i++)
		write_slice(process, record, lines[i]);
	return fclose(process) || fclose(record);
}
