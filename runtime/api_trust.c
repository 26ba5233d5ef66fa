/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "cleanup.h"
#include "error.h"
#include "trust.h"

static pthread_mutex_t keys_lock = PTHREAD_MUTEX_INITIALIZER;
/** What the program trusts; `NULL` for what the host does. */
static char *trusted_keys;

/** @p keys, taken, in place of what was there. */
static void replace_keys(char *keys)
{
	char *old;

	pthread_mutex_lock(&keys_lock);
	old = trusted_keys;
	trusted_keys = keys;
	pthread_mutex_unlock(&keys_lock);
	free(old);
}

static struct hfx_error *set_trust(const char *keys)
{
	HFX_CLEANUP(trust_cleanup) struct trust *trust = NULL;
	char *copy = NULL;

	HFX_TRY(trust_load(keys, &trust));
	if (keys) {
		copy = strdup(keys);
		if (!copy)
			return hfx_error_no_memory();
	}
	replace_keys(copy);
	return NULL;
}

HFX_API struct hfx_error *hfx_set_trust(const char *keys)
{
	int saved_errno = errno;
	struct hfx_error *err = set_trust(keys);

	errno = saved_errno;
	return err;
}

struct hfx_error *api_load_trust(struct trust **ret)
{
	HFX_CLEANUP(hfx_free) char *keys = NULL;
	bool is_set;

	pthread_mutex_lock(&keys_lock);
	is_set = trusted_keys != NULL;
	if (is_set)
		keys = strdup(trusted_keys);
	pthread_mutex_unlock(&keys_lock);
	if (is_set && !keys)
		return hfx_error_no_memory();
	return trust_load(keys, ret);
}
