# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Functions for scripts that build Debian source packages; to be sourced. apt
# gets a configuration of its own; the machine's is not touched.
#
# DEBIAN_MIRROR names another mirror, DEBIAN_RELEASE another release.

# apt-get with the configuration in folder $1.
debian_apt()
{
	debian_folder=$1
	shift
	apt-get -q -o Dir::Etc::sourcelist="$debian_folder/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$debian_folder/lists" \
		-o Dir::Cache="$debian_folder/cache" -o APT::Sandbox::User= \
		"$@"
}

# debian_fetch APT PACKAGE: the files of a source package, into the current
# folder. APT is the absolute path of a folder for apt's lists; they are fetched
# when they are not there. A mirror may lack the newest security update: then
# the release's own version is taken.
debian_fetch()
{
	debian_mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
	debian_release=${DEBIAN_RELEASE:-bookworm}
	debian_keys=/usr/share/keyrings/debian-archive-keyring.gpg
	if [ ! -r "$debian_keys" ]; then
		echo "$debian_keys is missing:" \
			"apt-get install debian-archive-keyring" >&2
		return 1
	fi
	if [ ! -f "$1/fetched" ]; then
		mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
		cat >"$1/sources.list" <<-EOF2
		deb-src [signed-by=$debian_keys] $debian_mirror/debian $debian_release main
		deb-src [signed-by=$debian_keys] $debian_mirror/debian-security $debian_release-security main
		EOF2
		debian_apt "$1" update || return 1
		touch "$1/fetched"
	fi
	debian_apt "$1" source --download-only "$2" ||
		debian_apt "$1" source --download-only "$2/$debian_release"
}

# debian_unpack PACKAGE FOLDER: from the current folder, patches not applied.
# Without a check of the .dsc: apt has verified it against the signed index.
debian_unpack()
{
	# A failed download may have left a part of another version.
	for debian_dsc in "$1"_*.dsc; do
		rm -rf "$2"
		if dpkg-source --no-check --skip-patches -x "$debian_dsc" "$2"
		then
			return 0
		fi
	done
	return 1
}
