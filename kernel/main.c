/* SPDX-License-Identifier: GPL-3.0-or-later */
/* postbusd: the order of life, nothing else. */
int main(void)
{
	return 0;
}
