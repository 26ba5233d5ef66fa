/* SPDX-License-Identifier: MIT */
#ifndef SERVER_H
#define SERVER_H

/** Print a line for @p name, which must not be too long. */
int server_answer(const char *name, int hour);

#endif /* SERVER_H */
