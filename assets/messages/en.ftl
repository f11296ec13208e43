### What the console says in English, the language that others are compared with.
###
### The format is Fluent's (https://projectfluent.org), of which the build takes texts, { $name }, choices by a number
### and attributes. Every message stands in every file of this folder, with the same values. Colon and dots at the ends
### belong to the text; where a message follows another in a sentence, it begins as it is to be read there.

## Commands

command-abort = ABORT
    .tip = Takes every fault back at once and latches the agents
command-finish = Finish
    .tip = Takes the faults back and goes on to recovery; nothing is latched
command-hold = Hold
    .tip = Takes the faults back and stops the clock of the steps; nothing is latched, and a resume takes a new baseline, then goes on for the time that was left
command-resume = Resume
    .tip = Takes a new baseline, then puts what was interrupted on again for the time that it had left
command-retry = Retry
    .tip = Begins the same experiment again: preflight, baseline, then it asks you before the first fault
command-copy-ours = Copy: is this us?
    .tip = Copies the sentence that says what of ours is on, with drill, console and time
command-begin = Start …
    .tip = Checks everything, waits for the steady state, then asks you before the first fault
command-arm = Start the fault
    .tip = Confirms the start, when every check has passed
command-note = Note
    .tip = Writes a note on the timeline
command-demo = Start the demo
    .tip = Starts the order system on this computer and runs a drill on it
command-test-abort = Test abort
    .tip = Starts the fault noop, which changes nothing, and aborts it on every agent
command-open-gameday = Open a game day …
    .tip = Opens the folder that gameday.toml is in
command-enter = Enter for somebody
    .tip = Types a line in the name of somebody who does not have the program
command-next-person = Next person
    .tip = Clocks are in the name of the next person of the game day
command-reveal = Reveal
    .tip = What the sealed drill is, or was, may be told from now on
command-responder = Responder
    .tip = A window for people on call: symptoms, clocks and ABORT, nothing of the plan
command-noticed = Noticed
    .tip = Somebody noticed that something is wrong
command-paged = Paged
    .tip = Somebody was paged
command-acknowledged = Acknowledged
    .tip = The page was acknowledged
command-hypothesis = Right hypothesis
    .tip = Somebody said what it really is
command-mitigated = Mitigated
    .tip = It hurts no longer
command-recovered = Recovered
    .tip = All is as before
command-open = Open a plan …
    .tip = Opens a plan file
command-save = Save
    .tip = Writes the plan to its file; comments stay
command-undo = Undo
    .tip = Takes the last edit back
command-redo = Redo
    .tip = Makes it again
command-zoom-in = Zoom in
    .tip = Less time on the plots
command-zoom-out = Zoom out
    .tip = More time on the plots
command-earlier = Earlier
    .tip = Moves the plots to the past
command-later = Later
    .tip = Moves the plots to the present
command-follow = Follow
    .tip = The plots follow now again
command-play = Play or pause
    .tip = The replay goes on by itself, or stands still
command-previous-event = Previous event
    .tip = The replay goes back to the last thing that happened before
command-next-event = Next event
    .tip = The replay goes to the next thing that happened
command-mark = Bookmark …
    .tip = Marks the moment that the replay shows; kept beside the drill, not in its sealed journal
command-export = Export …
    .tip = Writes what is shown: a drill as HTML, Markdown, JSON and PNG; a game day as Markdown
command-palette = Find a command …
    .tip = Finds a command by its name
command-help = Help
    .tip = Every command with its keys
command-stage = Stage
    .tip = A window for the projector; a double click there fills the screen, Escape closes it
command-seal = Seal the Stage
    .tip = The Stage says only that there is an exercise; again, and it shows all
command-share = Share …
    .tip = Lets others follow this drill by a link, each in a role
command-abort-window = ABORT window
    .tip = A small window with ABORT above other programs; by itself while a fault is on
command-theme = Theme
    .tip = Dark for a desk, light for a projector
command-speak-tip = Everything in this language
command-speak-as-system = System language
    .tip = Everything in the language of this computer, where the console knows it
command-larger = Larger
    .tip = Everything larger
command-smaller = Smaller
    .tip = Everything smaller
command-first-size = First size
    .tip = Everything as large as at first
command-welcome = Welcome
    .tip = Start the demo, open a plan
command-design = Design
    .tip = Write the plan
command-live = Live
    .tip = Watch the drill
command-review = Review
    .tip = Drills that are over
command-fleet = Fleet
    .tip = The agents
command-agenda = Agenda
    .tip = The game day: its drills, preparation, people, findings
command-gallery = Gallery
    .tip = The console's own widgets in each of their states, for who builds on them

group-drill = The drill
group-gameday = The game day
group-plan = The plan
group-plots = The plots in Live
group-review = Review and replay
group-views = Views
group-window = Windows and looks

why-already-back = The faults are already being taken back
why-watching = This window only follows another console
why-no-drill = No drill runs
why-held-already = It is held already
why-only-injecting = Only while the drill injects: before and after it nothing is on
why-not-read-back = Not before everything is read back as off
why-baseline-taken = The new baseline is being taken
why-nothing-held = Nothing is held
why-only-inconclusive = Only after a drill of which nothing can be said
why-drill-runs = A drill is running
why-no-plan = No plan is open
why-nothing-waits = Nothing waits to be confirmed
why-no-agents = No plan with agents is open
why-only-live = Only in Live and in a replay, with a drill
why-only-replay = Only in Review, while a drill is replayed
why-only-review = Only in Review, with a drill that is over
why-no-gameday-drill = No drill of a game day is on
why-no-gameday = No game day is open
why-nothing-sealed = Nothing is sealed
why-only-design = Only in Design

## Notices of the desktop

notice-abort = ABORT was pressed: every fault is being taken back.
notice-abort-by = ABORT was pressed by { $who }: every fault is being taken back.
notice-sealed = exercise
notice-out = { $indicator } is out
notice-out-words = It left tolerance in "{ $experiment }".

## Numbers, times, names

# As strftime has it.
date-format = %-d %b %H:%M
range-between = { $least } to { $most }
line-steady = steady { $range }
line-tolerated = tolerated { $range }
line-never = never stops
line-stop-below = stop < { $least }
line-stop-above = stop > { $most }
line-stop-outside = stop outside { $least } to { $most }
line-no-stop = no stop
span-seconds = { $seconds } s
span-minutes = { $minutes } min { $seconds } s
age-now = now
age-seconds = { $seconds } s old
age-minutes = { $minutes } min old
names-nobody = nobody
names-two = { $first } and { $second }
names-more = { $first } and { $more } more
agents = { $number ->
    [one] { $number } agent
   *[other] { $number } agents
}
mistakes = { $number ->
    [one] { $number } mistake
   *[other] { $number } mistakes
}
open-findings = { $number ->
    [0] no open finding
    [one] { $number } open finding
   *[other] { $number } open findings
}

## "Is this us?"

copy = Copy
copied = Copied
ends-in = ends in { $left }
lease-left = lease { $left }
ours-unknown = no agent was asked yet
ours-nothing = nothing of ours on
ours-nothing-proved = nothing of ours on, proved { $time }
ours-on = { $faults ->
    [one] { $faults } fault of ours on { $agents }
   *[other] { $faults } faults of ours on { $agents }
}
ours-may-be-on = a fault of ours may be on { $agents }: not read back

## Around every view

header-unsaved-plan = plan without a file
header-no-plan = no plan open
header-no-drill = No drill
header-begin = Open a plan in Design, or start the demo.
phase-preflight = Preflight
phase-baseline = Baseline
phase-arming = Arming
phase-inject = Inject
phase-recover = Recover
phase-closing = Reverting
phase-verdict = Verdict
theme-light = Light theme
theme-dark = Dark theme
emergency-stop = Emergency stop
abort-sending = sending …
abort-keys = { $keys }
abort-calm = nothing to stop · { $keys }
dismiss = Dismiss

## Design, as far as commands need it

why-mistakes = Mend the plan's mistakes first
hosts = { $number ->
    [one] { $number } host
   *[other] { $number } hosts
}
overdue-findings = { $number ->
    [one] { $number } overdue finding
   *[other] { $number } overdue findings
}

## Help and palette

help-title = Every command
close = Close
palette-title = Commands
palette-field = Find a command
palette-hint = what do you want to do?
palette-none = No command is called so.

## States, fuse, lease

state-steady = steady
state-tolerated = tolerated
state-out = OUT
state-no-data = no data
agent-latched = latched
agent-ready = ready
agent-not-asked = not asked
agent-not-usable = not usable
agent-no-answer = no answer
fuse = { $more ->
    [0] { $bad } of { $after } bad samples: the drill is stopped
    [one] { $bad } of { $after } bad samples: the next one stops the drill
   *[other] { $bad } of { $after } bad samples: { $more } more stop the drill
}
fuse-short = { $bad } of { $after } bad
fuse-short-next = { $bad } of { $after } bad, next stops
lease-words = reverts itself in { $left } without us

## Welcome

welcome-break = Break it on purpose,
welcome-stoppable = while you can still stop it.
welcome-system = A small order system starts
    .words = Gateway, orders, payments, inventory and real traffic, on this computer only.
welcome-fault = A fault begins
    .words = Payment answers later, through a real agent on this computer.
welcome-stop = The drill is stopped by itself
    .words = Checkout leaves its limits; the fault is taken back and read back.
welcome-verdict = You read the verdict
    .words = And run the same drill on a build of the system that holds.
welcome-local = Everything listens on 127.0.0.1 only and ends with this window.
welcome-minute = about a minute, nothing to prepare
welcome-own = Your own system
welcome-plan = A plan is one TOML file: indicators, agents, experiments.
new-plan = New plan
recent-plans = Recent plans
recent-none = None yet. What you open is remembered here.
welcome-over = A drill that is over
welcome-journal = A journal shows everything again, as it was.
open-journal = Open a journal …
gamedays = Game days
gamedays-words = Several drills with people: agenda, predictions, findings in a folder.
overdue = overdue since { $due }, { $owner }: { $symptom }
overdue-nobody = overdue since { $due }, nobody: { $symptom }
open-findings-overdue = { $number ->
    [one] { $number } open finding, { $overdue } overdue
   *[other] { $number } open findings, { $overdue } overdue
}
cannot-be-read = cannot be read

## Stage and the ABORT window

stage-title = Stage · Firedrill
abort-window-title = ABORT · Firedrill
# Two things in one line, the second following from the first.
and-then = { $first }, { $second }
# What is said, and what of it.
namely = { $what }: { $words }
# What stands between two sentences.
between-sentences = {" "}
stage-exercise = This is an exercise.
stage-whoever-sees-harm = Whoever sees harm presses ABORT.
stage-exercise-stopping = The exercise is being stopped.
stage-exercise-stopped = The exercise was stopped.
stage-no-drill = No drill is running.
stage-checking = everything is checked first
stage-nothing-yet = Nothing is on yet
stage-waiting = waiting for the steady state
stage-ready = Ready. It begins when it is confirmed.
stage-closing = Every fault is being taken back.
stage-recovering = The fault is off. Waiting until all is steady.
stage-held = Held. The clock stands until it is resumed.
stage-held-reverting = Held. Every fault is being taken back.
stage-held-baseline = Held. A new baseline is taken before it goes on.
stage-over = It is over.
stage-it-held = It held.
stage-it-broke = It broke.
stage-inconclusive = Nothing can be said.
stage-aborted = It was aborted.
stage-stopped-none = Stopped. No agent is known.
stage-stopped-clean = Stopped. { $agents } proved clean.
stage-stopping = Stopping: { $proved } of { $agents } proved clean.
stage-not-clean = { $rest } of { $agents } not proved clean.
stage-no-answer = No answer of { $agents }.
stage-not-seen = { $indicator } is not seen.
stage-is-out = { $indicator } is out.
stage-steady = All is steady.
stage-tolerated = All is tolerated.
stage-fuse-burnt = it is being stopped
stage-fuse = { $more ->
    [one] the next bad sample stops it
   *[other] { $more } more bad samples stop it
}
stage-faults-end = { $faults ->
    [one] { $faults } fault ends in { $left }
   *[other] { $faults } faults end in { $left }
}
stage-may-be-on = may be on: { $agents }

## Before a plan is replaced

leave-name = Changes are not saved
leave-title = Changes of this plan are not saved
leave-words = Another plan is about to take its place. What is not saved then is gone.
leave-save = Save first
leave-discard = Discard the changes
leave-stay = Stay

## A drill that was never ended

open-title = A drill was never ended
open-terminal = From any terminal: firedrill abort
open-not-now = Not now
open-driven = another console drives it
open-gone = its console is gone: leases end what is on
open-armed = armed { $time } · { $whose }
open-abort = Abort it
open-watched = watched until nothing of it is on
open-watch = Watch

## Guardrails before the start

safety-overridden = { $rule } is overridden by { $who }
safety-reason = Reason to go on without "{ $rule }"
safety-journaled = it is journaled
safety-override = Override { $rule }
safety-approved-by = Approved by a second person
safety-other = another than the operator
safety-approve = Approve
write-first = Write something first

## Arming

arming-name = Confirm the start
arming-back = Back
arming-not-ready = It can start when every check has passed.
surprise-title = Or by surprise, within
surprise-earliest = Earliest
surprise-latest = Latest
surprise-blind = I do not want to know when
surprise-written = Earliest and latest, counted from now, are written like 5m and 40m
surprise-order = The latest comes after the earliest, within 8 h
surprise-start = Start by surprise

## Before a reveal while a fault is on

reveal-name = Reveal
reveal-title = A fault is still on
reveal-words = Whoever is rehearsed will see at once what it is. The drill goes on.
reveal-stay = Keep it sealed
reveal-now = Reveal now

## The responder's window

responder-title = Responder · Firedrill
responder-what-you-see = You see what your monitoring shows. If it is real, press Real incident.
responder-it-was = It was: { $experiment }
responder-real = Real incident
    .short = stops and reveals all
    .tip = Aborts whatever is on, stops the agenda, and tells everybody what it was
responder-empty = Nothing to see yet
    .words = Indicators stand here from the begin of an exercise. ABORT works all the time.
responder-fault = { $fault } on { $agent }, from { $from } until { $until }
responder-did = What you did
responder-think = What you think it is
responder-note = Hypothesis
    .hint = It is the database pool …
    .empty = Write something first
    .keep = Keep
responder-alerts = Alerts
responder-no-alerts = None fired.
responder-alert = Alert { $name } fired.

## While ABORT works

aborting-name = Aborting
aborted-none = Aborted: no agent is known
aborted-none-words = Open the plan whose agents are to be stopped, or run `firedrill-agent abort` on the host.
aborted-clean = { $all ->
    [one] Aborted: the agent is proved clean
   *[other] Aborted: all { $all } agents are proved clean
}
aborting-proved = { $all ->
    [one] Aborting: { $proved } of { $all } agent is proved clean
   *[other] Aborting: { $proved } of { $all } agents are proved clean
}
aborted-not-clean = { $all ->
    [one] { $rest } of { $all } agent is not proved clean
   *[other] { $rest } of { $all } agents are not proved clean
}
pressed = pressed { $time }
pressed-by = pressed { $time } by { $who }
pressed-because = pressed { $time } by { $who }: { $reason }
pressed-latched = latched: nothing starts until somebody releases the latch
pressed-working = nothing starts while this works
aborting-copy = Copy for the incident channel
aborting-release = Release in Fleet …
aborting-hide = Hide
aborting-sending = still sending, every 200 ms
abort-requested = requested
abort-received = received
abort-reverted = reverted
abort-proved = proved clean
abort-unconfirmed = unconfirmed
abort-row = { $agent }: { $stage } after { $took }, { $latch }. { $words }
abort-by-hand = By hand, if it must be now: on the host of { $agents } run
latch-number = latch { $number }
latch-not = not latched
latch-none = no latch
report-in-drill = {" "}in drill "{ $experiment }"
report-pressed = Firedrill: ABORT pressed { $time }{ $drill }. { $proved } of { $all } agents proved clean.
report-by-hand = By hand: run `firedrill-agent abort` on the hosts that are unconfirmed.

## Live

live-empty = No drill is running
live-empty-words = When a drill runs, its indicators, its faults and its log are here. Start one from Design, or let the demo show you one.
go-to-design = Go to Design
plot-of = Plot of { $indicator }
plot-before = before
read-out-before = before { $value }
limit-stop = stop
no-sample = no sample
samples-all = every sample is drawn
samples-hidden = 1 px = { $number } samples
timeline = Timeline
timeline-hint = wheel zooms, drag pans, double click follows
follows = following
stands-still = standing still: double click follows
bar-preflight = preflight
bar-baseline = baseline
bar-arming = arming
bar-inject = inject
bar-recover = recover
bar-reverting = reverting
bar-held = held
lever-name = Strength of { $fault } on { $agent }
lever-tip = Less acts at once. More needs Apply, every guardrail, and is at most { $most }, as the plan has it
lever-apply = Apply { $strength }
lever-waits = A change is on its way; wait for its answer
lever-leave = Leave it at { $strength }
lever-asked = { $strength } is on, { $asked } is asked for …
lever-hint = less acts at once, more needs Apply
run-fix = Run the fix
build-fragile = fragile
build-hardened = hardened
outcome-held = HELD
outcome-broken = BROKEN
outcome-inconclusive = INCONCLUSIVE
outcome-aborted = ABORTED
open-review = Open the review
verdict-may-be-on = May still be on: nobody has read it back on { $agents }.
hold-reverting = HOLDING
    .words = Everything is being taken back; the clock stands
hold-held = HELD
    .words = Nothing of ours on; the clock stands since { $time }, by { $who }
hold-resuming = RESUMING
    .words = Nothing of ours on before the new baseline is there
hold-then-steps = the steps go on where they stood
hold-then = { $faults }, as strong as it was
hold-after-baseline = { $progress }. Then { $then }
hold-resume = Resume takes a new baseline of { $span }; then { $then }
preflight-failed = Preflight did not pass
preflight-asking = Asking every agent who it is and every source for fresh data …
check-running-words = checking …
check-passed = passed
check-failed = not passed
check-running = checking
check-row = { $what }: { $how }. { $words }
log = Log
log-all = all
log-faults = faults
log-samples = samples
log-notes = notes
log-empty = Nothing has happened yet.
log-no-such = No such line yet.
note-hint = Note (N) …
actions = Emergency actions
action-when = by itself { $when }
action-send = Send action { $number }
fault-none-yet = No fault was on yet
fault-next = Next: { $step } for { $length }.
    .words = It begins after the confirmation, not before.
fault-never = This drill injected nothing.
by-hand = By hand: { $words }
injection-asked = asked …
injection-starting = starting …
injection-reverting = reverting …
injection-reverted = reverted
injection-proved = reverted, proved clean
injection-done = done
injection-refused = refused
injection-failed = failed
injection-unconfirmed = unconfirmed

## Fleet

agent-not-asked-yet = Not asked yet.
latched-number = Latched (number { $number })
latched-by = By { $who }: { $reason }. Nothing starts here until it is released.
release-why = Why it is safe again
release-hint = what was found, who looked
release-needs-reason = A release needs a reason
release = Release the latch
token-for = Token for this agent
token-hint = paste it here
token = Token
token-first = Paste the agent's token first
token-keep = Keep
token-kept = Kept in a file that only you can read; never in the plan.
fleet-empty-words = Agents inject faults on their hosts and always take them back. They stand in the plan: open one, or write one in Design.
add-agent = Add agent
fleet-answer = { $answer } of { $all } answer
fleet-answer-latched = { $answer } of { $all } answer, { $latched } latched
fleet-ask-again = Ask again
fact-address = address
fact-host = host
fact-version = version
    .words = { $version }, protocol { $protocol }
fact-labels = labels
none = none
fact-held-by = held by
    .words = { $console } ({ $who }), drill { $experiment }
fact-heard = heard
    .words = { $age }, round trip { $trip }
fact-abort-test = abort test
abort-test-clean = proved clean in { $took }
abort-test-failed = failed: { $why }
abort-test-not-made = not made yet
routes = Routes
route = { $name }: { $listen } to { $upstream }
fleet-faults = Faults
fault-not-here = not on this host
fault-cannot = cannot: { $why }.{ $remedy }
enroll-title = Add an agent
enroll-words = On the agent's host run `firedrill-agent enroll`, and paste the line that it prints.
join-string = Join string
enroll-not-possible = Not possible: { $why }.
enroll-secret = It holds tokens: it is shown to nobody, and kept in a file that only you can read.
enroll-first = Paste a whole join string first
enroll-trust = Trust this agent
cancel = Cancel
trusted-title = What will be trusted
trusted-role-unknown = what the agent allows its token; an agent of an earlier version does not say
trusted-agent = agent
trusted-aborts = aborts
    .words = the same host, port { $port }, with a token of their own
trusted-role = role
trusted-certificate = Its certificate, and no other:
trusted-no-certificate = No certificate: it speaks without TLS, on this computer alone.

## Agenda

panel-before = Preparation
panel-predictions = Predictions
panel-clocks = Clocks
panel-findings = Findings
panel-exercise = The exercise
agenda-no-drill = No drill is on the agenda.
agenda-empty = No game day is open
agenda-empty-words = A game day is a folder: agenda, preparation and people in gameday.toml, the plans, and everything that happens. A new one is made from plans in a terminal:
opened-before = Opened before
gameday-mistakes = gameday.toml has { $mistakes }
read-again = Read it again
show-file = Show the file

box-over = { $span } over its box
box-left = { $span } of its box left
day-stopped = STOPPED
    .words = { $reason } since { $time }: no drill of the agenda begins
day-over = over
    .words = since { $time }
day-running = running
day-started = started
day-ready = ready
    .words = everything is ticked, everybody said go
day-not-ready = not ready
day-none-to-come = no drill is to come
day-next = next: { $drill } at { $time }
day-was-aborted = { $drill } was aborted. Was it for a real incident? If not, { $next }
day-in-the-way = { $first }, and { $more } more
write-report = Write the report
write-invitation = Write the invitation
agenda-goes-on = The agenda goes on
resume-hint = why it is safe again
start-gameday = Start the game day
real-incident = Real incident
    .tip = Aborts whatever is on and stops the whole agenda
a-drill-is-on = A drill is on
end-day = End the day
start-next = Start the next drill …
    .tip = { $drill }: checks everything, waits for the steady state, then asks you
too-long = { $span } too long
    .tip = Shorten, skip or end: the agenda takes longer than the game day
say-why-safe = Say why it is safe again

clock-keys = keys 1 to 6
not-begun = This drill has not begun
clock-when = At another time
    .hint = empty: now; or a time of day such as 14:02:30
clock-written = Written down
    .hint = what is struck stays
clock-why = Why one is struck
optional = optional
clock-line = { $at }  { $clock }, by { $by }
clock-line-back = { $at }  { $clock }, written { $written }, by { $by }
clock-struck = struck by { $by }
clock-struck-because = struck by { $by }: { $why }
clock-for = { $who }, written by { $by }
quick-title = In another's name
quick-keys = { $enter } for a line, { $next } for the next person
quick-myself = myself
quick-hint = ana: noticed 14:03
quick-clock = { $who }: { $clock } at { $at }. Enter keeps it.
quick-strike = { $who }: { $clock } does not count. Enter strikes it.
quick-note = { $who } at { $at }: { $words }. Enter keeps it.
quick-predict = { $who } predicts: { $verdict }. Enter seals it.
strike = Strike
strike-name = Strike: { $clock } at { $at }
clock-after-fault = { $at }, { $span } after the fault began

# So many of all.
some-of = { $some } of { $all }
checklist = Checklist
checklist-none = gameday.toml has no [[check]]: nothing is asked for before the start.
tick = Tick
untick = Untick
gameday-has-started = The game day has started
goes = Go or no-go, by name
goes-none = gameday.toml has no [[go]]: nobody is asked.
said-go = go
said-no-go = NO-GO
go = Go
no-go = No-go
go-adds = What { $name } adds
    .hint = why, in a few words

exercise-title = About the exercise itself
exercise-hint = blameless; the report names who agreed
exercise-who = Who answers
your-name = your name
question-first = What did we learn about how we work together?
question-second = What about this exercise was unsafe, unclear or a waste of time?
question-third = What do we do differently at the next game day?
in-a-sentence = In a sentence
    .hint = in a sentence
keep = Keep
keep-answer = Keep answer { $number }
decisions = Decisions

on-days-line = { $drill } on the day's line
day-end = end
day-end-early = end, { $span } too early
on-now = on now
slot-tip = { $drill }, { $from } to { $until }, a box of { $slot }
slot-needs = needs { $least } to { $most }: { $words }
slot-to-come = to come
slot-on = on
slot-skipped = skipped
over-at = over at { $time }
ends-late = ends { $time }, { $span } too late
ends-spare = ends { $time }, { $span } to spare
slot-keys = Alt+Up and Alt+Down move it, - and + change its box, S skips it; or drag it
not-run = not run
not-run-because = not run: { $why }
not-in-file = no longer in the file
slot-took = took { $took }, box { $slot }
slot-box = box { $slot }
slot-box-needs = box { $slot } · needs { $needs }
fits = fits
fits-if-steady = fits if steady at once
too-short = TOO SHORT
gameday-is-over = The game day is over
it-is-on = It is on
it-is-over = It is over
it-is-first = It is the first
it-is-last = It is the last
run-after-all = Run after all
skip = Skip
five-less = -5 min
five-more = +5 min
run-again = Run again …
start-this = Start this …

predict-revealed = revealed and scored
predict-sealed = sealed until the reveal
predict-nobody = Nobody predicted anything
predict-reveal = Reveal and score
predict-who = Who predicts
predict-hypothesis = The hypothesis
predict-holds = holds
predict-breaks = breaks
predict-first = First to leave
predict-worst = Worst value
a-number = a number
predict-notice = Time to notice
    .hint = 90s or 2m
predict-words-hint = what will happen, and why
predict-seal = Seal it
predict-say-who = Say who predicts
predict-choose = Choose the indicator that the worst value is of
predict-worst-number = The worst value is a number
predict-notice-written = The time to notice is written like 90s or 2m
predict-none = Nobody has predicted anything yet. What is sealed is shown to nobody before the reveal.
seal-tip = The seal: note it down, and nobody can change your words unseen
sealed-at = sealed { $time }
said-holds = Holds
said-breaks = Breaks

new-finding = New finding
findings-none = Nothing was found yet. What is found carries over to the next game day until it is dealt with.
finding-overdue = overdue
finding-closed = closed
finding-open = open
finding-due = due { $due }
finding-by = found by { $drill }
finding-from = from { $from }
symptom = Symptom
    .hint = what was seen
cause = Cause
    .hint = why it is so
impact = Impact
    .hint = what it costs
owner = Owner
    .hint = who takes care of it
due = Due
ticket = Ticket
open-again = Open again
change = Change
dealt-with = Dealt with
run-its-drill = Run its drill again
dealt-how = How it was dealt with
    .hint = how it was dealt with
say-how = Say how
close-finding = Close the finding
not-yet = Not yet
change-finding = Change a finding
evidence = Evidence: { $from } to { $until }, while the fault was on
keep-finding = Keep the finding
leave-it = Leave it

## Design: plan, indicators, agents

plan-part = Plan
plan-title = Title
plan-system = System
plan-goal = Goal
plan-goal-hint = what is to be learned
metrics-from = Where indicators come from
metrics-scrape = Scrape
metrics-scrape-tip = exposition text of your services, evaluated here
metrics-prometheus-tip = anything that speaks its HTTP API
metrics-probe = Probe
metrics-probe-tip = requests sent from here
metrics-url = Base URL
metrics-urls = URLs, between commas
metrics-requests = Requests, between commas
choose-one = Choose one.
metrics-every = Every
people = People
facilitator = Facilitator
facilitator-hint = leads the room
operator = Operator
operator-hint = drives the console
observers = Observers, between commas
observers-hint = watch, and write notes
add-indicator = Add indicator
remove = Remove
indicator-name = Name
indicator-unit = Unit: how it is shown
indicator-unit-hint = %, ms, s, /s or a word
good-events = Good events
all-events = All events
window = Window
histogram = Histogram
quantile = Quantile
counter = Counter
gauge = Gauge
lines-share = as a share: 0.999 is 99.9 %
lines-seconds = in seconds: 0.3 is 300 ms
lines-source = in the source's unit
min-rate = Traffic below this is no data
say-ok = Said while it is in tolerance
say-out = Said while it is out
stops-drill = Stops the drill
stop-tolerance = Out of tolerance
stop-tolerance-tip = two bad samples in a row outside of what is tolerated
stop-own = At a line of its own
stop-own-tip = so many samples in a row outside of this line
stop-never = Never
stop-never-tip = its values never stop the drill; samples without data do
stop-after = After so many bad samples in a row
tokens-apart = Tokens are kept apart, in a file that only you can read: see Fleet.
agent-name = Agent name
agent-address = Address
labels-tip = Labels: what targets choose by
labels = Labels
lines-in = Lines, { $unit }. Empty is open; tolerate and stop may be left out.
line-of-band = Steady
line-of-tolerance = Tolerated
line-of-stop = Stop
line-from = { $line } from
line-to = { $line } to

## Design: steps

steps = Steps
add-wait = Add a wait
no-step = No step yet: choose a fault at the left.
lanes-tip = Drag a step along the time or to another lane; with the arrow keys when it has the focus.

## Design: kinds of indicators, lanes, text

kind-ratio = Ratio
    .tip = good events over all events in a window
kind-quantile-tip = a quantile of a histogram in a window
kind-rate = Rate
    .tip = events per second in a window
kind-gauge-tip = the sum of gauges as they are
kind-promql-tip = raw PromQL; for a Prometheus source only
step-name = Step { $number }: { $label }
step-tip = { $label }, from { $from } to { $until }
step-target = { $time } in { $lane }
not-saved = not saved
saved = saved
no-file-yet = no file yet
plan-text = Plan text
mistake-line = line { $line }: { $message }
number-expected = a number is expected, not "{ $typed }"

## Design: experiments

design-faults = Faults
search-faults = Search faults
search-hint = search …
no-such-fault-name = No fault is called so.
add-experiment = Add experiment
no-experiment = No experiment yet
no-experiment-words = An experiment is a hypothesis and the faults that test it. Add one, or choose a fault at the left.
hypothesis-label = Hypothesis: what can turn out wrong
experiment-name = Experiment name
experiment-baseline = Steady first for
experiment-recover = Back in the band within
experiment-lease = Lease: how long a fault stays without us
experiment-say = In words for the room; {"{n}"} of {"{all}"} are the hosts that are hit
add-fault = Add { $fault }

## Design: a step and its target

remove-step = Remove this step
no-such-fault = No such fault: choose one at the left.
step-lane = Lane: side by side with others
runs-once = Runs once
repeats = Repeats
runs-in-all = Runs in all
start-to-start = Start to start
target = Target
how-many = How many of those
no-agents-yet = The plan has no agents yet.
hosts-with = Hosts with
routes-known = Routes that the agents have
route-label = Route
named-by = Named by
is-hit = is hit
may-be-hit = may be hit
is-not-hit = is not hit
by-pid = process id
by-process = process name
by-command = command line
by-port = listening port
by-unit = systemd unit
by-netns = network namespace
step-wait = Wait
step-for-wait = For
step-for = for
step-ramp = ramp: grows for
step-at-once = at once
hits = hits { $hit } of { $hosts }
mode-one = one
mode-all = all
mode-two = two
mode-half = half
and-more = and { $more } more

## Design

check-plan = Check
check-plan-tip = Shows the first mistake
nothing-to-save = Nothing to save
nothing-there = Nothing there
no-mistakes = no mistakes
form-waits = The form waits for the text
file-newer = The file on disk is newer than this text.
save-over = Save over it
design-empty = No plan is open
design-empty-words = A plan says what a system is, how well it must do, who injects, and what is tried on it.
indicators-part = Indicators
agents-part = Agents
experiments-part = Experiments
no-toml = The text at the right is no TOML at the moment.

## Review: replay, two drills, the game day's report

review-found = Verdict
review-replay = Replay
review-compare = Compare
review-day = Game day
review-none-title = No drill is over yet
review-none = A drill that is over is here with its verdict and its numbers. A journal of an earlier one can be opened too.
review-open-journal = Open a journal …
review-day-words = The report as it stands: people by role, by name only where they agreed; predictions once they are revealed.
review-day-none-title = No game day is open
review-day-none = A game day is opened in Agenda; its report is here from then on.

replay-word = REPLAY
replay-then = then: { $sentence }
replay-stands = stands
replay-plays = plays { $speed }
replay-play = Play
replay-pause = Pause
replay-speed = Speed { $speed }
replay-of = { $at } of { $end }
replay-moment = Moment of the replay
replay-unmark = Remove this bookmark
replay-keep = Keep
replay-field = Words of the bookmark
replay-field-hint = What is to be seen here
replay-bookmark = bookmark
replay-own = Your bookmark: go there to remove it
replay-reading-title = Reading the journal …
replay-reading = Its journal is read and stepped through once; then every moment is there at once.
replay-failed-title = This drill cannot be replayed
replay-back = Back to the verdict
mark-start = fault on
mark-out = first out
mark-stop = stop
mark-reverted = reverted
mark-verdict = verdict
lever-then = as it stood then

compare-one-title = Only one drill is over
compare-one = Two drills are compared. When another one is over, or its journal is opened, it is here.
compare-nothing-title = Nothing in common
compare-nothing = These two drills have no indicator of the same name and unit; the table has what can be compared.
compare-with = with
compare-choose = Compare with { $drill }
compare-first = first
compare-second = second
compare-change = change
compare-line = { $which }: { $drill }
compare-others = the second was judged by others: { $lines }
compare-title = Differences
compare-row = { $of }, { $measure }: first { $first }, second { $second } { $change }
compare-alone-first = { $name }: only in the first drill
compare-alone-second = { $name }: only in the second drill
compare-plot = Plot of { $name } in both drills
compare-values = first { $first }  · second { $second }
compare-beyond = not begun or over
compare-zero = first fault

## The window's own question, and the desktop's dialogs

close-words = Its changes are lost when the window closes.
close-stay = Keep editing
close-anyway = Close without saving
dialog-open-plan = Open a plan
dialog-save-plan = Save the plan
dialog-plans = plans
dialog-open-journal = Open a drill's journal
dialog-journals = journals
dialog-report-folder = Where to write the report
dialog-open-gameday = Open a game day: the folder with gameday.toml

## Review: the verdict

no-reason = No reason was given.
numbers-title = Before, during and after the fault
times-title = How long it took
never-broke = never broke
not-reached = not reached
time-to-break = fault to broken
time-to-stop = bad sample to reverted
time-to-recover = reverted to steady
bad-samples = bad samples
journal-sealed = Journal sealed, its chain is whole
show-journal = Show journal
span-before = before
span-during = during
span-after = after
median = median
maximum = max
samples-of = { $name }: { $before } samples before, { $during } during, { $after } after
no-stop = no stop
journal-broken = Journal: { $why }

## Library

command-library = Library
    .tip = Plans to start from
command-use-template = Use this template
    .tip = Opens the plan as filled in here in Design; it has no file yet
command-try-template = Try it on the demo
    .tip = Starts the order system on this computer and the chosen experiment on it; it asks you before the first fault
why-only-library = Only in Library
why-mend-answers = Mend the mistakes first
library-start = From the library
library-no-mistakes = no mistakes
library-your-system = Your system
library-as-it-ships = As it ships
library-needs = It needs
library-tries = It tries
library-on-demo = On the demo, { $build } build
library-without = without { $what }: { $why }
library-short = times are short there: a drill takes about half a minute
library-not-on-demo = not on the demo: { $why }
library-counts = { $experiments } experiments · { $questions } questions

## Design: guardrails, targets, an indicator's past

rails-title = Guardrails
rails-when-good = Checked as soon as the plan has no mistakes.
rails-passes = { $rule } passes
rails-refuses = { $rule } refuses
rails-later = { $rule } is asked later
rails-to-pass = to pass: { $remedy }
rails-shared = whether others drill on these hosts is asked before the start
rails-alerts = open alerts are asked for before the start
rails-budget = what earlier drills spent is read before the start
rails-approval = a second person approves before the start
target-by-lot = { $hit } of { $names }, by lot at the start
target-ready = ready
target-not-in-fleet = not asked: save the plan first
target-not-asked = not asked yet
target-says-nothing = it has not said what it can do
target-no-answer = does not answer
target-latched = latched: nothing starts there
target-unknown-fault = knows no { $fault }
target-cannot = cannot do this
target-no-route = has no route { $route }
past-hour = its last hour, { $values } values of the source
past-drill = this source has no past: { $samples } samples of the last drill
past-again = Ask again
past-ask = Show its last hour
past-none = no past: { $why }
past-asking = asking the source for its last hour
past-not-asked = not asked for its last hour yet
past-nothing = this source has no past, and no drill has sampled it yet
past-drag = drag a line, or type it below
past-line-stop = stop
past-line-tolerated = tolerated
past-line-steady = steady

## Others who follow

role-observer = Observer
role-observer-words = sees everything; notes and predictions
role-approver = Approver
role-approver-words = sees everything; approves the start as the second person
role-responder = Responder
role-responder-words = sees the symptoms, and nothing that tells what was injected
role-stakeholder = Stakeholder
role-stakeholder-words = sees the Stage
role-abort-only = ABORT only
role-abort-only-words = sees whether something is on, and ABORT with its stages
share-title = Others who follow
share-off-words = Nothing is shared. Whoever has a link sees what its role may see, and may press ABORT; nobody can start or strengthen anything by it.
share-this-computer = This computer only
share-this-computer-words = Programs on this computer can connect, by TLS, with a link. No other computer can.
share-everywhere = All its addresses
share-everywhere-words = Other computers can try to connect, by TLS; without a link nobody gets in.
share-port = Port
share-port-wrong = A port is a number up to 65535
share-start = Start sharing
share-stop = Stop sharing
share-try = Try again
share-listens = Listening on { $address }. Links are as good as keys: give each to whom it is for.
share-copy = Copy link
share-revoke = Revoke
share-revoked = revoked
share-renew = New link
share-follow = { $count ->
    [0] nobody follows
    [one] { $count } follows
   *[other] { $count } follow
}
share-nobody = Nobody follows yet.
share-watcher = { $name } · { $role } · from { $from } since { $since }
share-turned-away = { $count ->
    [one] { $count } connection was turned away: too many at once
   *[other] { $count } connections were turned away: too many at once
}
reach-trying = being tried …
reach-fails = does not answer, even to this computer: { $why }
reach-loopback = answers. No other computer can connect here.
reach-private = answers when called from this computer itself. From another computer on this network: not tested, a firewall may stand between. From the internet: not tested.
reach-public = answers when called from this computer itself. From the internet: not tested, a firewall may stand between.
reach-reached = reached from { $from } at { $time }: other computers can connect.
watch-connecting = connecting
watch-on = connected
watch-lost = connection lost
watch-ended = ended
watch-host = { $host }
watch-waiting = { $count ->
    [one] { $count } wish waits for the host
   *[other] { $count } wishes wait for the host
}
watch-lost-words = CONNECTION LOST at { $time }: { $why }. What you see is as of then. It is tried again, and nothing is lost by it.
watch-ended-words = This will not come back: { $why }.
watch-abort-sent = ABORT is sent to the host …
watch-abort-undelivered = ABORT IS NOT DELIVERED: there is no connection to the host. It is sent as soon as there is one. Meanwhile: on the host run “firedrill abort”, on each target run “firedrill-agent abort”; leases end what nobody renews.
watch-abort-refused = ABORT was not taken by the host: { $why }
watch-approval = Waits for your approval: { $title }
watch-approve = Approve the start
watch-refuse = Do not approve
watch-refuse-why = Why not
watch-predict = What do you expect of { $drill }?
watch-predict-send = Seal and send
watch-nothing-yet = What users of the system feel is shown here as soon as there is something.
watch-no-drill = It is shown here as soon as the host begins one.
