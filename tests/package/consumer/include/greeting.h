/* SPDX-License-Identifier: MIT */
#ifndef GREETING_H
#define GREETING_H

/** What is said before a name. */
const char *greeting_text(int hour);

#endif /* GREETING_H */
