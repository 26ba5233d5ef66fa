/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle.h"
#include "cleanup.h"
#include "hfx_cli.h"
#include "hfx_json.h"
#include "persist.h"
#include "trust.h"

/** Digits of an id that name a patch, and that the table shows. */
#define MIN_ID   6
#define SHORT_ID 12

static const char help[] =
	"Usage: hfx persist [OPTION...] FIX.hfx\n"
	"       hfx persist [OPTION...] --list\n"
	"       hfx persist [OPTION...] --remove NAME|ID\n"
	"Have a bundle applied to new starts of the build that it is for, in\n"
	"programs that link or preload libhfx.so.\n"
	"\n"
	"      --list         list what is installed\n"
	"      --json         with --list: print a JSON document "
	"(docs/hfx-json.md)\n"
	"      --remove WHAT  no longer do so: a name, or at least 6 digits of "
	"an id\n"
	"      --redirect-calls\n"
	"                     new starts also redirect direct calls, as by "
	"apply\n"
	"      --dir DIR      the folder (default: " HFX_PERSIST_FOLDER ")\n"
	"      --trust KEYS   as for apply\n"
	"  -q, --quiet        print errors only\n"
	"      --help         show this help\n";

struct persist_options {
	bool list;
	bool json;
	bool redirect_calls;
	bool quiet;
	bool help;
	const char *remove;
	const char *folder;
	const char *trust;
	const char *path;
};

static const struct option long_options[] = {
	{"list", no_argument, NULL, 'l'},
	{"json", no_argument, NULL, 'j'},
	{"remove", required_argument, NULL, 'r'},
	{"redirect-calls", no_argument, NULL, 'c'},
	{"dir", required_argument, NULL, 'd'},
	{"trust", required_argument, NULL, 'T'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static bool take_option(int option, struct persist_options *options)
{
	switch (option) {
	case 'l':
		options->list = true;
		return true;
	case 'j':
		options->json = true;
		return true;
	case 'r':
		options->remove = optarg;
		return true;
	case 'c':
		options->redirect_calls = true;
		return true;
	case 'd':
		options->folder = optarg;
		return true;
	case 'T':
		options->trust = optarg;
		return true;
	case 'q':
		options->quiet = true;
		return true;
	case 'h':
		options->help = true;
		return true;
	}
	return false;
}

static int parse(int argc, char **argv, struct persist_options *options)
{
	int option, wanted;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "qh", long_options, NULL)) !=
	       -1)
		if (!take_option(option, options))
			return output_usage("persist",
			                    "unknown or incomplete option '%s'",
			                    argv[optind - 1]);
	if (options->help)
		return 0;
	wanted = options->list || options->remove ? 0 : 1;
	if (!wanted && options->redirect_calls)
		return output_usage("persist",
		                    "--redirect-calls is for a bundle that is "
		                    "installed");
	if (argc - optind != wanted || (options->list && options->remove) ||
	    (options->json && !options->list))
		return output_usage("persist",
		                    "persist takes a bundle, --list or "
		                    "--remove");
	options->path = argv[optind];
	if (!options->folder)
		options->folder = persist_folder();
	if (!options->folder)
		return output_usage("persist",
		                    "hfx must not be setuid or setgid");
	return 0;
}

/* ---- What is installed ------------------------------------------------- */

/** One installed bundle. All is borrowed. */
struct installed {
	const char *build;
	const char *build_folder;
	const char *file;
	const struct bundle *bundle;
};

typedef struct hfx_error *visit_fn(void *arg, const struct installed *found);

static struct hfx_error *visit_bundle(const char *build, const char *folder,
                                      const char *file, visit_fn *visit,
                                      void *arg)
{
	HFX_CLEANUP(buffer_deinit) struct buffer bytes = {0};
	struct installed found = {build, folder, file, NULL};
	struct bundle *bundle = NULL;
	struct hfx_error *err = persist_read(folder, file, &bytes);

	if (!err)
		err = hfx_error_wrap(
			bundle_parse(bytes.data, bytes.size, &bundle), "%s/%s",
			folder, file);
	if (err) {
		/* The others can be listed, and this one be removed by hand. */
		(void)output_error(err, 0);
		return NULL;
	}
	found.bundle = bundle;
	err = visit(arg, &found);
	bundle_destroy(bundle);
	return err;
}

static struct hfx_error *visit_build(const char *folder, const char *build,
                                     visit_fn *visit, void *arg)
{
	HFX_CLEANUP(persist_names_deinit) struct persist_names names = {0};
	HFX_CLEANUP(hfx_free) char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, build) < 0) {
		path = NULL;
		return hfx_error_no_memory();
	}
	HFX_TRY(persist_bundles(path, &names));
	for (size_t i = 0; i < names.num_names; i++)
		HFX_TRY(visit_bundle(build, path, names.names[i], visit, arg));
	return NULL;
}

static struct hfx_error *visit_all(const char *folder, visit_fn *visit,
                                   void *arg)
{
	HFX_CLEANUP(persist_names_deinit) struct persist_names builds = {0};

	HFX_TRY(persist_builds(folder, &builds));
	for (size_t i = 0; i < builds.num_names; i++)
		HFX_TRY(visit_build(folder, builds.names[i], visit, arg));
	return NULL;
}

/* ---- List -------------------------------------------------------------- */

static struct hfx_error *print_one(void *arg, const struct installed *found)
{
	const struct manifest *manifest = found->bundle->manifest;
	char id[2 * DIGEST_SIZE + 1];
	bool *is_first = arg;

	if (*is_first)
		printf("%-16s  %-8s  %-12s  %-16s  %s\n", "NAME", "VERSION",
		       "ID", "MODULE", "BUILD-ID");
	*is_first = false;
	hex_encode(found->bundle->id.bytes, DIGEST_SIZE, id);
	output_text(stdout, manifest->name, 16);
	fputs("  ", stdout);
	output_text(stdout, *manifest->version ? manifest->version : "-", 8);
	printf("  %.*s  ", SHORT_ID, id);
	output_text(stdout, manifest->modules[0].name, 16);
	printf("  %s", found->build);
	for (size_t i = 1; i < manifest->num_modules; i++) {
		fputs(i == 1 ? " with " : ", ", stdout);
		output_text(stdout, manifest->modules[i].name, 0);
	}
	putchar('\n');
	return NULL;
}

/** Names of all modules, in the order of the bundle. */
static json_t *json_modules(const struct manifest *manifest)
{
	json_t *names = json_array();

	for (size_t i = 0; i < manifest->num_modules; i++)
		json_array_append_new(names,
		                      json_text(manifest->modules[i].name));
	return names;
}

static struct hfx_error *add_json(void *arg, const struct installed *found)
{
	const struct manifest *manifest = found->bundle->manifest;

	json_array_append_new(
		arg,
		json_pack("{so so so so so ss so sb}", "name",
	                  json_text(manifest->name), "version",
	                  json_text(manifest->version), "id",
	                  json_hex(found->bundle->id.bytes, DIGEST_SIZE),
	                  "module", json_text(manifest->modules[0].name),
	                  "modules", json_modules(manifest), "build_id",
	                  found->build, "file", json_text(found->file),
	                  "redirect_calls", persist_redirects(found->file)));
	return NULL;
}

static int list(const struct persist_options *options)
{
	HFX_CLEANUP(json_decrefp) json_t *bundles = json_array();
	bool is_first = true;
	struct hfx_error *err =
		visit_all(options->folder, options->json ? add_json : print_one,
	                  options->json ? (void *)bundles : (void *)&is_first);

	if (err)
		return output_error(err, HFX_EXIT_FAILED);
	if (options->json)
		return json_print(json_pack("{si so so}", "format", 1, "folder",
		                            json_text(options->folder),
		                            "bundles", HFX_TAKE(bundles)));
	if (is_first)
		printf("no bundles in %s\n", options->folder);
	return HFX_EXIT_DONE;
}

/* ---- Remove ------------------------------------------------------------ */

struct removal {
	const struct persist_options *options;
	/** With `dry`, the first one found; then the one to remove. */
	struct digest id;
	bool has_id;
	bool dry;
	size_t num_removed;
};

static bool matches(const struct bundle *bundle, const char *which)
{
	char id[2 * DIGEST_SIZE + 1];
	size_t size = strlen(which);

	if (!strcmp(bundle->manifest->name, which))
		return true;
	hex_encode(bundle->id.bytes, DIGEST_SIZE, id);
	return size >= MIN_ID && size < sizeof(id) &&
	       !strncasecmp(id, which, size);
}

static struct hfx_error *remove_file(struct removal *removal,
                                     const struct installed *found)
{
	HFX_CLEANUP(hfx_free) char *path = NULL;

	if (asprintf(&path, "%s/%s", found->build_folder, found->file) < 0) {
		path = NULL;
		return hfx_error_no_memory();
	}
	if (unlink(path))
		return hfx_error_os(errno, "cannot remove %s", path);
	/* Only if it is empty. */
	(void)rmdir(found->build_folder);
	removal->num_removed++;
	if (removal->options->quiet)
		return NULL;
	fputs("removed ", stdout);
	output_text(stdout, path, 0);
	fputs("; processes that run keep the patch\n", stdout);
	return NULL;
}

static struct hfx_error *remove_one(void *arg, const struct installed *found)
{
	struct removal *removal = arg;

	if (!matches(found->bundle, removal->options->remove))
		return NULL;
	if (!removal->dry)
		return remove_file(removal, found);
	if (removal->has_id && !digest_equal(&removal->id, &found->bundle->id))
		return hfx_error_create(
			HFX_ERROR_INVALID_ARGUMENT,
			"several bundles are called %s; give the id that "
			"`hfx persist --list` shows",
			removal->options->remove);
	removal->id = found->bundle->id;
	removal->has_id = true;
	return NULL;
}

static int remove_named(const struct persist_options *options)
{
	struct removal removal = {.options = options, .dry = true};
	struct hfx_error *err =
		visit_all(options->folder, remove_one, &removal);

	removal.dry = false;
	if (!err && removal.has_id)
		err = visit_all(options->folder, remove_one, &removal);
	if (!err && !removal.num_removed)
		err = hfx_error_create(HFX_ERROR_NOT_APPLIED,
		                       "there is no bundle %s in %s; `hfx "
		                       "persist --list` shows what there is",
		                       options->remove, options->folder);
	return err ? output_error(err, HFX_EXIT_FAILED) : HFX_EXIT_DONE;
}

/* ---- Install ----------------------------------------------------------- */

struct presence {
	const struct digest *id;
	bool is_there;
};

static struct hfx_error *note_presence(void *arg, const struct installed *found)
{
	struct presence *presence = arg;

	presence->is_there |= digest_equal(&found->bundle->id, presence->id);
	return NULL;
}

/** Make a folder that services of all users can read. */
static struct hfx_error *make_folder(const char *path)
{
	if (mkdir(path, 0755) == 0) {
		/* Whatever the umask. */
		if (chmod(path, 0755))
			return hfx_error_os(errno, "cannot set the mode of %s",
			                    path);
		return NULL;
	}
	return errno == EEXIST ? NULL
	                       : hfx_error_os(errno, "cannot make %s", path);
}

/** Check that nobody else writes there, and find the next number. */
static struct hfx_error *next_number(const char *build_folder,
                                     unsigned long *ret)
{
	HFX_CLEANUP(persist_names_deinit) struct persist_names names = {0};

	HFX_TRY(persist_bundles(build_folder, &names));
	*ret = 1;
	if (names.num_names)
		*ret = strtoul(names.names[names.num_names - 1], NULL, 10) + 1;
	if (*ret > 9999)
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "%s has number 9999 already; remove "
		                        "bundles and install them again",
		                        build_folder);
	return NULL;
}

static struct hfx_error *install_file(const struct persist_options *options,
                                      const char *build_folder,
                                      const struct bundle *bundle,
                                      const struct buffer *bytes)
{
	HFX_CLEANUP(hfx_free) char *path = NULL;
	unsigned long number;

	HFX_TRY(next_number(build_folder, &number));
	if (asprintf(&path, "%s/%04lu-%s%s", build_folder, number,
	             bundle->manifest->name,
	             options->redirect_calls ? PERSIST_REDIRECTS : ".hfx") <
	    0) {
		path = NULL;
		return hfx_error_no_memory();
	}
	HFX_TRY(file_replace(path, bytes->data, bytes->size));
	if (chmod(path, 0644))
		return hfx_error_os(errno, "cannot set the mode of %s", path);
	if (options->quiet)
		return NULL;
	fputs("installed ", stdout);
	output_text(stdout, path, 0);
	fputs("; new starts of this build that link or preload libhfx.so get "
	      "it\n",
	      stdout);
	return NULL;
}

static struct hfx_error *install(const struct persist_options *options,
                                 const struct bundle *bundle,
                                 const struct buffer *bytes)
{
	HFX_CLEANUP(hfx_free)
	char *build_folder = persist_build_folder(
		options->folder, &bundle->manifest->modules[0].old_build_id);
	struct presence presence = {.id = &bundle->id};

	if (!build_folder)
		return hfx_error_no_memory();
	HFX_TRY(make_folder(options->folder));
	HFX_TRY(make_folder(build_folder));
	HFX_TRY(visit_build(options->folder, strrchr(build_folder, '/') + 1,
	                    note_presence, &presence));
	if (presence.is_there)
		return hfx_error_create(HFX_ERROR_ALREADY_APPLIED,
		                        "%s is installed in %s already",
		                        bundle->manifest->name, build_folder);
	return install_file(options, build_folder, bundle, bytes);
}

/** Read once; what is checked is what is installed. */
static int read_and_install(const struct persist_options *options)
{
	HFX_CLEANUP(buffer_deinit) struct buffer bytes = {0};
	HFX_CLEANUP(trust_cleanup) struct trust *trust = NULL;
	struct bundle *bundle = NULL;
	struct hfx_error *err =
		file_read(options->path, BUNDLE_MAX_PACKED, &bytes);

	if (!err)
		err = trust_load(options->trust, &trust);
	if (!err)
		err = hfx_error_wrap(bundle_parse_trusted(bytes.data,
		                                          bytes.size, trust,
		                                          &bundle),
		                     "%s", options->path);
	if (err)
		return output_error(err, cli_bundle_exit_code(err));
	err = install(options, bundle, &bytes);
	bundle_destroy(bundle);
	return err ? output_error(err, HFX_EXIT_FAILED) : HFX_EXIT_DONE;
}

int hfx_persist_main(int argc, char **argv)
{
	struct persist_options options = {0};
	int code = parse(argc, argv, &options);

	if (code)
		return code;
	if (options.help) {
		fputs(help, stdout);
		return HFX_EXIT_DONE;
	}
	if (options.list)
		return list(&options);
	return options.remove ? remove_named(&options)
	                      : read_and_install(&options);
}
