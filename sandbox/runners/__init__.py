"""The ways to isolate work, one package each, and what they have in common.

asking     can this profile be held here?
finding    what can be held here, found out once and by trying
opening    the workspace and a place are taken, and given back when an opening fails
rights     from root down to a user without any
process    agents that are processes of ours, and their pipes
link       what is said to an agent and what it answers
session    one open sandbox: a link, its carrier, a place, a way out, and its end
ending     finishing what has been begun although the caller is being cancelled
disabled   no isolation at all
"""
