#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Links between the pages lead somewhere, and README.md has one to each page.
use strict;
use warnings;
use FCNG::Util qw(slurp top);
use File::Basename qw(dirname);
use Test::More;

my $top = top();

# What GitHub and others make of a heading.
sub anchor {
    my ($heading) = @_;
    $heading = lc $heading =~ s/`//gr;
    $heading =~ s/[^\w\- ]//g;
    return $heading =~ tr/ /-/r;
}

sub text { slurp($_[0]) =~ s/^```.*?^```$//msgr =~ s/^    .*$//mgr }

my %linked;
for my $page (glob "$top/*.md $top/docs/*.md") {
    my (@lost, $links);
    for my $to (text($page) =~ /\]\(([^)\s]+)\)/g) {
        next if $to =~ /^https?:/;
        $links++;
        my ($file, $anchor) = $to =~ /^([^#]*)(?:#(.*))?$/;
        my $path = length $file ? dirname($page) . "/$file" : $page;
        $linked{$path} = 1 if $page eq "$top/README.md";
        push @lost, $to if !-e $path || defined $anchor
            && !grep { anchor($_) eq $anchor }
                text($path) =~ /^\#+ (.*)$/mg;
    }
    (my $name = $page) =~ s{^\Q$top\E/}{};
    is("@lost", '', "$name: " . ($links // 0) . ' links');
}
is_deeply([grep { !$linked{$_} } glob "$top/docs/*.md"], [],
    'README.md has a link to each page');
done_testing();
