/* SPDX-License-Identifier: MIT */
/* hfx-bundle keygen and sign. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <sodium/utils.h>

#include "cleanup.h"
#include "file.h"
#include "main.h"
#include "sign.h"
#include "utc_day.h"

enum {
	OPTION_EXPIRES = 256,
	OPTION_PASSWORD_FILE,
	OPTION_SIGNATURE,
	OPTION_SIGN_KEY,
};

static const char keygen_help_text[] =
	"Usage: hfx-bundle keygen NAME [OPTION...]\n"
	"\n"
	"Make a key pair: NAME.key, the secret one, signs bundles; NAME.pub\n"
	"goes to the hosts that are to accept them (/etc/hfx/trusted.d).\n"
	"\n"
	"      --expires DATE      write into NAME.pub that it is not to be\n"
	"                          trusted from that day on (YYYY-MM-DD)\n"
	"      --password-file FILE  where the password is (default: ask)\n"
	"  -W, --no-password       do not encrypt NAME.key\n"
	"  -h, --help              this text\n";

static const char sign_help_text[] =
	"Usage: hfx-bundle sign FIX.hfx --sign-key KEY [OPTION...]\n"
	"       hfx-bundle sign FIX.hfx --signature FILE\n"
	"\n"
	"Sign a bundle, in place of the signature that it may have.\n"
	"\n"
	"      --sign-key KEY      secret key, of keygen or minisign\n"
	"      --password-file FILE  where its password is (default: ask)\n"
	"      --signature FILE    put in the signature that minisign made of\n"
	"                          the bundle's manifest.json\n"
	"  -h, --help              this text\n";

/* ---- Passwords ------------------------------------------------------------
 */

/* The first line of what is in the buffer. */
static struct hfx_error *take_password(const char *text, size_t size,
                                       char password[PASSWORD_MAX + 1])
{
	const char *end = memchr(text, '\n', size);
	size_t length = end ? (size_t)(end - text) : size;

	if (!length || length > PASSWORD_MAX || memchr(text, '\0', length))
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "a password has 1 to %d bytes, in one "
		                        "line",
		                        PASSWORD_MAX);
	memcpy(password, text, length);
	password[length] = '\0';
	return NULL;
}

static struct hfx_error *password_of_file(void *path,
                                          char password[PASSWORD_MAX + 1])
{
	struct buffer file = {0};
	struct hfx_error *err;

	HFX_TRY(file_read(path, PASSWORD_MAX + 2, &file));
	err = take_password((const char *)file.data, file.size, password);
	sodium_memzero(file.data, file.size);
	buffer_deinit(&file);
	return hfx_error_wrap(err, "%s", (const char *)path);
}

/* Ask on the terminal, without an echo. */
static struct hfx_error *ask(const char *prompt,
                             char password[PASSWORD_MAX + 1])
{
	HFX_CLEANUP(hfx_close) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	struct termios shown, hidden;
	char line[PASSWORD_MAX + 2];
	struct hfx_error *err;
	ssize_t size;

	if (fd < 0 || tcgetattr(fd, &shown))
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "there is no terminal to ask for the "
		                        "password; use --password-file");
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fd, TCSAFLUSH, &hidden);
	dprintf(fd, "%s: ", prompt);
	size = read(fd, line, sizeof(line));
	dprintf(fd, "\n");
	tcsetattr(fd, TCSAFLUSH, &shown);
	err = size < 0 ? hfx_error_os(errno, "cannot read the password")
	               : take_password(line, (size_t)size, password);
	sodium_memzero(line, sizeof(line));
	return err;
}

static struct hfx_error *password_of_terminal(void *arg,
                                              char password[PASSWORD_MAX + 1])
{
	(void)arg;
	return ask("Password of the key", password);
}

static struct hfx_error *new_password(void *arg,
                                      char password[PASSWORD_MAX + 1])
{
	char again[PASSWORD_MAX + 1];
	struct hfx_error *err;
	bool is_same;

	(void)arg;
	HFX_TRY(ask("New password", password));
	err = ask("Once more", again);
	is_same = !err && !strcmp(password, again);
	sodium_memzero(again, sizeof(again));
	HFX_TRY(err);
	return is_same ? NULL
	               : hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
	                                  "the two passwords differ");
}

struct password_source password_from(const char *password_path)
{
	return password_path
	               ? (struct password_source){password_of_file,
	                                          (char *)password_path}
	               : (struct password_source){password_of_terminal, NULL};
}

/* ---- keygen ---------------------------------------------------------------
 */

struct keygen_command {
	const char *name;
	const char *expires;
	const char *password_path;
	bool no_password;
	bool help;
};

/* Write a file that must not be there yet. */
static struct hfx_error *create_file(const char *path, mode_t mode,
                                     const char *text)
{
	HFX_CLEANUP(hfx_close)
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	size_t size = strlen(text);

	if (fd < 0)
		return hfx_error_os(errno, "cannot create %s", path);
	if (write(fd, text, size) == (ssize_t)size && !fsync(fd))
		return NULL;
	unlink(path);
	return hfx_error_os(errno ? errno : EIO, "cannot write %s", path);
}

static void wipe_text(char **text)
{
	if (*text)
		sodium_memzero(*text, strlen(*text));
	free(*text);
}

static struct hfx_error *format_secret(const struct keygen_command *command,
                                       const struct secret_key *key, char **ret)
{
	struct password_source source = {new_password, NULL};
	char password[PASSWORD_MAX + 1];
	struct hfx_error *err;

	if (command->no_password)
		return secret_key_format(key, NULL, NULL, ret);
	if (command->password_path)
		source = password_from(command->password_path);
	err = source.get(source.arg, password);
	if (!err)
		err = secret_key_format(key, password, &password_cost_default,
		                        ret);
	sodium_memzero(password, sizeof(password));
	return err;
}

static struct hfx_error *write_pair(const struct keygen_command *command,
                                    const struct secret_key *key)
{
	HFX_CLEANUP(wipe_text) char *secret = NULL;
	HFX_CLEANUP(hfx_free) char *public = NULL;
	HFX_CLEANUP(hfx_free) char *secret_path = NULL;
	HFX_CLEANUP(hfx_free) char *public_path = NULL;
	struct hfx_error *err;

	if (asprintf(&secret_path, "%s.key", command->name) < 0 ||
	    asprintf(&public_path, "%s.pub", command->name) < 0)
		return hfx_error_no_memory();
	HFX_TRY(format_secret(command, key, &secret));
	HFX_TRY(secret_key_format_public(key, command->expires, &public));
	HFX_TRY(create_file(secret_path, 0600, secret));
	err = create_file(public_path, 0644, public);
	if (err) {
		unlink(secret_path);
		return err;
	}
	printf("wrote %s, which is secret, and %s: key %s\n", secret_path,
	       public_path, minisign_id_text(key->id).text);
	return NULL;
}

static struct hfx_error *keygen(const struct keygen_command *command)
{
	HFX_CLEANUP(secret_key_deinit) struct secret_key key = {0};

	HFX_TRY(secret_key_generate(&key));
	return write_pair(command, &key);
}

static int take_keygen_option(struct keygen_command *command, int option)
{
	uint64_t second;

	switch (option) {
	case 'h':
		command->help = true;
		return EXIT_DONE;
	case 'W':
		command->no_password = true;
		return EXIT_DONE;
	case OPTION_EXPIRES:
		command->expires = optarg;
		if (strlen(optarg) == UTC_DAY_SIZE &&
		    utc_day_parse(optarg, &second))
			return EXIT_DONE;
		return usage_error("--expires takes a day as YYYY-MM-DD, not "
		                   "\"%s\"",
		                   optarg);
	case OPTION_PASSWORD_FILE:
		command->password_path = optarg;
		return EXIT_DONE;
	default:
		fputs(keygen_help_text, stderr);
		return EXIT_BAD_INPUT;
	}
}

int command_keygen(int argc, char **argv)
{
	static const struct option options[] = {
		{"expires", required_argument, NULL, OPTION_EXPIRES},
		{"help", no_argument, NULL, 'h'},
		{"no-password", no_argument, NULL, 'W'},
		{"password-file", required_argument, NULL,
	         OPTION_PASSWORD_FILE},
		{0},
	};
	struct keygen_command command = {0};
	int option;

	while ((option = getopt_long(argc, argv, "hW", options, NULL)) != -1) {
		int code = take_keygen_option(&command, option);

		if (code != EXIT_DONE)
			return code;
	}
	if (command.help) {
		fputs(keygen_help_text, stdout);
		return finish_output(EXIT_DONE);
	}
	if (argc - optind != 1)
		return usage_error("keygen takes a name for the two files");
	if (command.no_password && command.password_path)
		return usage_error("--no-password and --password-file exclude "
		                   "each other");
	command.name = argv[optind];
	struct hfx_error *err = keygen(&command);
	return err ? fail(err) : finish_output(EXIT_DONE);
}

/* ---- sign -----------------------------------------------------------------
 */

struct sign_command {
	const char *path;
	const char *key_path;
	const char *password_path;
	const char *signature_path;
	bool help;
};

static struct hfx_error *sign_with_key(const struct sign_command *command)
{
	struct password_source source = password_from(command->password_path);
	HFX_CLEANUP(secret_key_deinit) struct secret_key key = {0};

	HFX_TRY(secret_key_read(command->key_path, &source, &key));
	HFX_TRY(sign_bundle(command->path, &key));
	printf("signed %s by key %s\n", command->path,
	       minisign_id_text(key.id).text);
	return NULL;
}

static struct hfx_error *attach(const struct sign_command *command)
{
	HFX_CLEANUP(buffer_deinit) struct buffer signature = {0};

	HFX_TRY(file_read(command->signature_path, MINISIGN_MAX_FILE,
	                  &signature));
	return sign_bundle_with(command->path, &signature);
}

static int take_sign_option(struct sign_command *command, int option)
{
	switch (option) {
	case 'h':
		command->help = true;
		return EXIT_DONE;
	case OPTION_PASSWORD_FILE:
		command->password_path = optarg;
		return EXIT_DONE;
	case OPTION_SIGNATURE:
		command->signature_path = optarg;
		return EXIT_DONE;
	case OPTION_SIGN_KEY:
		command->key_path = optarg;
		return EXIT_DONE;
	default:
		fputs(sign_help_text, stderr);
		return EXIT_BAD_INPUT;
	}
}

int command_sign(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"password-file", required_argument, NULL,
	         OPTION_PASSWORD_FILE},
		{"sign-key", required_argument, NULL, OPTION_SIGN_KEY},
		{"signature", required_argument, NULL, OPTION_SIGNATURE},
		{0},
	};
	struct sign_command command = {0};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		int code = take_sign_option(&command, option);

		if (code != EXIT_DONE)
			return code;
	}
	if (command.help) {
		fputs(sign_help_text, stdout);
		return finish_output(EXIT_DONE);
	}
	if (argc - optind != 1)
		return usage_error("sign takes one file, a bundle");
	if (!command.key_path == !command.signature_path)
		return usage_error("sign takes --sign-key or --signature");
	command.path = argv[optind];
	struct hfx_error *err =
		command.key_path ? sign_with_key(&command) : attach(&command);
	return err ? fail(err) : finish_output(EXIT_DONE);
}
