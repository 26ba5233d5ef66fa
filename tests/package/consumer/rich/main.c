/* SPDX-License-Identifier: MIT */
void rich_print(double number);

int main(void)
{
	rich_print(27);
	return 0;
}
